"""Video: H.264 packets for those who watch, MP4 files for those who keep."""
