"""A run directory and what it holds: `directory` and `lock`, what is in it, and how that is opened.

`config` turns files into configurations, `plug_in` and `architectures` names into objects, `devices` and `distributed`
say where a rank computes. `layout` knows every file of a stage, `records` what is in them. `trained_run` opens a run
with its supernet, `standalone` a network that was trained by itself, `training_results` what became of those;
`training_spec` names one. `status` says how far a run is, `run_files` reads it with care.
"""
