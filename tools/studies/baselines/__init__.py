"""Networks of the search against backbones of timm's: `study` of a run, its `numbers` and its `words`."""
