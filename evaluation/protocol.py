"""How embeddings are judged: one protocol for inherited and standalone networks, on any faces.

Shape legend: N images, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
