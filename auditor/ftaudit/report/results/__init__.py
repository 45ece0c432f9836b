"""Formats that list results with their places: SARIF, annotations, JUnit XML, CSV."""
