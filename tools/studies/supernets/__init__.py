"""The same networks ranked by several supernets: `study`; `variants` are ways to train them, `table` compares these and
`words` tell it.
"""
