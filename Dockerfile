# The daemon in a container that shares the network namespace which it is to protect: docs/install.md says how.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
COPY pyproject.toml constraints.txt README.md LICENSE /src/
COPY amiguard /src/amiguard
COPY deploy/man /src/deploy/man
RUN python3 -m venv /opt/amiguard \
    && /opt/amiguard/bin/pip install --no-cache-dir --disable-pip-version-check -c /src/constraints.txt '/src[fleet,geo]' \
    && /opt/amiguard/bin/pip uninstall --yes --quiet setuptools pip

FROM ${BASE}
RUN groupadd --system --gid 990 amiguard \
    && useradd --system --uid 990 --gid amiguard --home-dir /var/lib/amiguard --shell /usr/sbin/nologin amiguard \
    && install -d -o amiguard -g amiguard -m 0750 /var/lib/amiguard /run/amiguard
COPY --from=build /opt/amiguard /opt/amiguard
ENV PATH=/opt/amiguard/bin:/usr/local/bin:/usr/bin:/bin
# Large tables go back to the system whole, whenever they are copied; else they leave holes, and memory creeps up by 10 MB.
ENV MALLOC_MMAP_THRESHOLD_=1048576
VOLUME /var/lib/amiguard
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["setpriv", "--reuid=990", "--regid=990", "--clear-groups", "amiguard", "status"]
# The kernel gives a non-root process the capability only through the file's own bits or ambient ones, which Docker does
# not set: so the container starts as root and drops to the user with NET_ADMIN kept. For that it needs SETUID, SETGID and
# SETPCAP too, and nothing else.
ENTRYPOINT ["setpriv", "--reuid=990", "--regid=990", "--clear-groups", "--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin", "--bounding-set=-all,+net_admin", "--no-new-privs", "amiguard"]
CMD ["run"]
