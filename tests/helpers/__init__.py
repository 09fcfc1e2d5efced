"""Builders, fakes and made-up data that several tests share."""
