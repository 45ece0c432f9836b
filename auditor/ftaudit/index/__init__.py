"""The index tier: which files of a release exist, and which of them the target's installer chooses.

`config` has the index settings, `client` queries the indexes, `page` parses their pages, `store` caches them on disk,
and `choose` judges the files of one release for a target and a platform.
"""
