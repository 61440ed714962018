"""From networks to scores. `embedding` turns a network and images into embeddings, `distributed` on several ranks.

`scorer` gives the verdict of a whole population of genotypes by the weights they inherit; a `trie` runs once what they
have in common, `sharing` counts how much that is.
"""
