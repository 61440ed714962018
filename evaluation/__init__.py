"""How networks are judged. This room reads weights and never changes them.

`scoring` turns networks and images into embeddings and scores, `metrics` are pure functions of these, `statistics` says
how sure any of it is and whether cheap scores rank networks as the costly truth does. `protocol` is the short verdict,
the same for inherited and standalone networks; `subject` measures everything about one system, as `options` ask for, by
`identification_report` and `verification_report` into a `report`, of which `report_rows` makes tables. `cost` counts
parameters and multiply-accumulates, by formula or while a network runs; `latency` is measured; `limits` bound these.

`ranking_study` holds inherited scores against standalone ones, those of a run or of others' `score_tables`;
`searchability` tells by which measures networks differ; `over_seeds` sums up the trainings of a network.
"""
