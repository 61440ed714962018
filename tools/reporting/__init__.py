"""What `dualfair report` shows: data from a run's files first, then one page made of these data alone.

`runs.run_files` reads; `setting`, `networks`, `front`, `ranking`, `usage`, `architecture`, `studies` and `cost` make
the numbers of a section each; `answer`, `ranking_words` and `doubts` put them in sentences; `comparison` sets runs side
by side; `collect` joins them all. From there on no file is read: `svg`, `charts` and `drawings` draw, `html`,
`captions`, `sections` and `page` write. Tables are data too (`table`), so CSV, JSON and page agree. `report` writes the
files; `description` says what one network is, for `dualfair show`.
"""
