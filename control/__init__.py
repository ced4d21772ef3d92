"""The control service: functions, versions and tokens, and the API that changes them."""
