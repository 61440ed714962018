"""How networks are judged. This room reads weights and never changes them.

`scoring` turns networks and images into embeddings and scores, `metrics` are pure functions of these, `statistics` says
how sure any of it is and whether cheap scores rank networks as the costly truth does. `protocol` is the short verdict,
the same for inherited and standalone networks; `subject` measures everything about one system, as `options` ask for, by
`identification_report` and `verification_report` into a `report`. `cost` counts parameters and multiply-accumulates, by
formula or while a network runs.
"""
