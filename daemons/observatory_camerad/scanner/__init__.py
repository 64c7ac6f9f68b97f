"""What serves a scanner: controls from a file on removable media, photos as its controller says."""
