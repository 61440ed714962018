"""DualFair: searches face recognition networks that are accurate and treat groups of people alike.

`commands` is the command line. `stages` are the four of a run and what they share; `studies` ask one question each.
`runs` knows what a run directory holds, `presentation` how numbers are shown. `reporting`, `exporting`, `planning`,
`benchmarks`, `conformance` and `doctor` serve one command each, `guides` are for readers.
"""
