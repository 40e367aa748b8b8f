"""Requests and answers of the catalog service."""
