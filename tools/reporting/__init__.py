"""What `dualfair report` shows: data from a run's files first, then one page made of these data alone.

`runs.run_files` reads; `setting`, `networks`, `front`, `ranking`, `usage`, `architecture` and `cost` make the numbers
of a section each; `choice`, `ranking` and `answer` put them in `statements`; `comparison` sets runs side by side;
`collect` joins them all. From there on no file is read: `pictures` draws, and `page` fills `templates/report.html`.
Tables are data too, so CSV, JSON and page agree. `report` writes the files; `description` says what one network is.
"""
