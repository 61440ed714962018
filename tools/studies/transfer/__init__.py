"""Trained networks on other faces: `measure` embeds and judges, `study` tells what carries over."""
