"""What `dualfair report` shows, and what `dualfair show` says of one network (`architecture`).

`run` reads the records of a run, with `setting`, `tables` and `cost`; `choice` and `answer` put them in `statements`;
`page` draws and fills `templates/report.html`, and `report` writes page, JSON and CSV from the same values.
"""
