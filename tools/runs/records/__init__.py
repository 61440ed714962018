"""What the files of a run hold: one frozen dataclass a result, which alone reads and writes it (`codec` says how)."""
