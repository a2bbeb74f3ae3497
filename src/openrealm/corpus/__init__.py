"""From a source to stored passages: read articles, clean them, split sentences, cut blocks, store them memory-mapped.

No module below imports torch. The street is `sources` -> `clean` -> `sentences` -> `blocks` -> `store`; `duplicates`
groups passages of equal text so that a query's own passage can be kept from its candidates under any id.
"""
