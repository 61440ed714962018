"""Studies: one question each, asked of runs that are there. Nothing else knows them, and any can be deleted.

`compare`: is NSGA-II worth it? `baselines`: what would one take instead? `tune`: with which hyper-parameters?
`transfer`: on other faces? `supernets`: which way of training supernets ranks best? `demo` runs everything in small.
"""
