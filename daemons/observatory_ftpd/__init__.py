"""ftpd: takes a camera's configuration by FTP and gives a test photo back."""
