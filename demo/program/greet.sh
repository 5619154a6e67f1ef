#!/bin/sh
# Greets whom it is told to, or the world.
echo "Hello, ${1:-world}!"
