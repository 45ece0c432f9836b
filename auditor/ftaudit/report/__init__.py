"""One renderer for each format: `render(report) -> str`."""
