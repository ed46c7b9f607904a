"""Django's cache framework over pylibmc."""

from django_cache import run

run("PyLibMCCache")
