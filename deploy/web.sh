#!/bin/sh
# The web process of a deployment: two processes of sixteen threads are a fair start for one or two cores. Threads
# that wait for a group commit cost nothing; each that reads keeps one connection to the database.
set -eu
mkdir -p "${PROMETHEUS_MULTIPROC_DIR:=/tmp/renxin-metrics}"
rm -f "$PROMETHEUS_MULTIPROC_DIR"/*.db
export PROMETHEUS_MULTIPROC_DIR
exec gunicorn config.wsgi:application --preload --bind "0.0.0.0:${PORT:-8000}" --worker-class gthread \
    --workers "${WEB_PROCESSES:-2}" --threads "${WEB_THREADS:-16}" --timeout 60 --graceful-timeout 20 \
    --keep-alive 75 --no-control-socket --log-level warning --worker-tmp-dir /dev/shm
