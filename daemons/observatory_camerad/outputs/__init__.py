"""From taken frames to files: names, formats, headers, the disk and what is deleted from it."""
