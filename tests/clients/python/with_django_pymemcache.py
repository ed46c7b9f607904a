"""Django's cache framework over pymemcache."""

from django_cache import run

run("PyMemcacheCache")
