"""A run directory and what it holds: `directory`, what is in it, and how that is opened.

`config` turns files into configurations, those of `options`, and `architectures` names into objects; `devices` says
where a rank computes. `layout` knows every file of a stage, `records` what is in them. `trained_run` opens a run with
its supernet, `standalone` a network that was trained by itself, which `training_spec` names. `run_files` reads with
care what became of a run, `status` says how far it is.
"""
