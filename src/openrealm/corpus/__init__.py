"""From a source to stored passages: read articles, clean them, split sentences, cut blocks, store them memory-mapped.

No module below imports torch. The street is `sources` -> `clean` -> `sentences` -> `blocks` -> `store`; `duplicates`
and `near_duplicates` group passages that give each other away, so that none of a query's own group is its candidate;
`matches` does the same between two corpora.
"""
