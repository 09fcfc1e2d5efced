"""Builders, fakes and synthetic data that several tests share."""
