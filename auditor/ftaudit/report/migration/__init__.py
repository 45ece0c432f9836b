"""The report that a team reads before it migrates: audit, plan and scan in one document."""
