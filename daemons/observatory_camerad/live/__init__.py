"""What is looked at and not kept: live frames, histograms."""
