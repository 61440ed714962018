"""A run directory and what it holds: `directory` and `lock`, what is in it, and how that is opened.

`config` turns files into configurations, `options`, and `architectures` names into objects; `devices` says where a rank
computes. `layout` knows every file of a stage, `records` what is in them. `trained_run` opens a run with its supernet,
`standalone` a network that was trained by itself, `training_results` what became of those; `training_spec` names one.
`run_files` reads a run with care, `status` says how far it is.
"""
