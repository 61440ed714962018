"""Whether everything works on a machine: `checks` looks at its libraries, devices, memory and disks, and runs a
self-test."""
