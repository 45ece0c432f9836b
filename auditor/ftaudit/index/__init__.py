"""The index tier: which files of a release exist, and which of them the target's installer takes.

`config` says which indexes to ask and how, `client` asks them, `page` reads what they say, `store` keeps it on
disk, and `choose` judges the files of one release for a target and a platform.
"""
