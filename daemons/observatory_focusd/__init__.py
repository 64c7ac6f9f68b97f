"""focusd: owns one serial focus controller of one or two channels and shares it safely."""
