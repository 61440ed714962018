"""The command line: one file a command, wiring only. The only place that chooses devices, seeds and run directories.

`main` knows the commands; `options`, `judging`, `device` and `plug_in` are what they share on the command line,
`launch` joins the ranks of torchrun, `run_directory` and `session` are what they share on disk, `progress` and
`figures` what they show; `stopwatch` and `random_faces` serve what measures. `evaluate` leans on `subjects`,
`measuring`, `together` and `evaluation_output`; `bench` on `benchmarks/`, a file a benchmark; `plan` on `planning/`.
"""
