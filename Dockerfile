# The service as one image: `serve`, `worker`, `db upgrade` and every other command of `referral-service`.
FROM python:3.13-slim-trixie AS build
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY referral_service referral_service
COPY profiles profiles
RUN python -m venv --without-pip /opt/referral \
 && pip --python /opt/referral/bin/python install --no-cache-dir -c requirements.lock .

FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="Referral service for dystonia" \
      org.opencontainers.image.description="Checks FHIR R4 referrals for suspected dystonia, tags them with ICD-10 G24.x and routes them by age." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 referral \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin referral \
 && install -d -o referral -g referral -m 0700 /data
COPY --from=build /opt/referral /opt/referral
ENV PATH=/opt/referral/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    REFERRAL_HOST=0.0.0.0 \
    REFERRAL_PORT=8080
# Where an SQLite file lies when no PostgreSQL is named. Beside it and /tmp nothing is written.
WORKDIR /data
VOLUME /data
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import os, sys; from http.client import HTTPConnection; asked = HTTPConnection('127.0.0.1', int(os.environ['REFERRAL_PORT']), timeout=5); asked.request('GET', '/health/ready'); sys.exit(asked.getresponse().status != 200)"]
CMD ["referral-service", "serve"]
