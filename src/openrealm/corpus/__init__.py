"""From a source to stored passages: read articles, clean them, split sentences, cut passages, store them memory-mapped.

Nothing here imports torch. Data flows through `sources`, `clean`, `sentences`, `blocks`, `shards` and `join`, driven by
`builder`. `duplicates` and `near_duplicates` group passages that leak each other's text, so that no passage of a
query's own group is a candidate for it; `matches` does the same between two corpora. `corpus` reads the result.
"""
