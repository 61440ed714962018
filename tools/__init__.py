"""The command line: one file a command, wiring only. The only place that chooses devices, seeds and run directories.

`main` knows the commands; `options`, `judging`, `device` and `plug_in` are what they share on the command line,
`launch` joins the ranks of torchrun, `run_directory`, `session`, `standalone` and `trainings` are what they share on
disk, `progress` and `figures` what they show. `lock` keeps a run directory for one command, `interruption` lets a
signal end it where that is safe, `training` runs a trainer between checkpoints. `stopwatch` and `random_faces` serve
what measures. `evaluate` leans on `subjects`, `measuring`, `together` and `evaluation_output`; `bench` on
`benchmarks/`, a file a benchmark; `plan` on `planning/`; `status` on `standing`; `soak` on `killing` and
`run_comparison`.
"""
