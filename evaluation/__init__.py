"""How networks are judged. This room reads weights and never changes them.

`embedding` turns a network and faces into embeddings, in batches that `fitting` halves where memory runs out.
`comparison` compares these in chunks; `identification` turns them into the rank of every probe, `open_set` adds people
who are not enrolled. `pairs` draws and scores pairs, `verification` tells them apart at a threshold. `disparity` takes
ranks, or whether they are right, to one value a group and reduces those to one number; `pair_disparity` does so with
the rates of pairs, of which `group_rates` counts those of every group. `bootstrap` says how sure any of it is,
`reliability` how far a measure tells networks apart. `identification_report` and `verification_report` gather all of
that about one system.

`protocol` is the short verdict, the same for inherited and standalone networks, and `scoring` gives it for a whole
population of genotypes by the weights they inherit; a `trie` runs once what they have in common. `ranking` asks whether
such cheap scores order networks as the costly truth does. `complexity` counts parameters and multiply-accumulates by
formula, `sharing` what a population has in common, and `baseline` is what costs nothing to beat.

Only `embedding`, `fitting`, `trie` and `scoring` see torch.
"""
