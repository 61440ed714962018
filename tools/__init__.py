"""The command line: one file a command, wiring only. The only place that chooses devices, seeds and run directories.

`main` knows the commands; `options`, `judging`, `device`, `plug_in` and `architectures` are what they share there,
`launch` joins the ranks of torchrun, `run_directory`, `session`, `standalone` and `trainings` are what they share on
disk, `progress`, `boards` and `figures` what they show. `lock` keeps a run directory for one command, `interruption`
lets a signal end it where that is safe, `training` runs a trainer between checkpoints. `stopwatch` and `random_faces`
serve what measures. `evaluate` leans on `subjects`, `measuring`, `together` and `evaluation_output`; `bench` on
`benchmarks/`, a file a benchmark; `plan` on `planning/`; `report` and `show` on `reporting/`; `export` on
`exporting/`; `check` on `conformance/`; `doctor` on `environment`, `shadowing` and `self_test`; `status` on
`standing`; `soak` on `killing` and `run_comparison`. `guides/` are for readers.
"""
