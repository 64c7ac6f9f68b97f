"""raspiCamSrv's API as its users' scripts know it, on top of the services of /api/v1."""
