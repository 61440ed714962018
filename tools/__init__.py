"""The command line: one file a command, wiring only. The only place that chooses devices, seeds and run directories.

`main` knows the commands; `options`, `judging`, `device` and `plug_in` are what they share on the command line,
`run_directory` and `session` what they share on disk, `progress` and `figures` what they show.
"""
