"""Whether everything works on a machine: its `environment`, `shadowing` of packages, and a `self_test`."""
