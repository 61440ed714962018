"""How networks are judged. This room reads weights and never changes them; only `embedding` and `scoring` see torch.

`embedding` turns a network and faces into embeddings. `identification` turns embeddings into the rank of every probe.
`disparity` takes the ranks, or whether they are right, to one value a group and reduces those to one number.
`protocol` joins these three into one verdict, the same for inherited and standalone networks. `scoring` gives that
verdict for a whole population of genotypes by the weights they inherit. `ranking` asks whether such cheap scores
order networks as the costly truth does. `complexity` counts parameters and multiply-accumulates by formula, and
`baseline` is what costs nothing to beat.
"""
