FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY referral_service referral_service
COPY profiles profiles
RUN python -m venv /opt/referral \
 && /opt/referral/bin/pip install --no-cache-dir -c requirements.lock .

FROM python:3.13-slim
COPY --from=build /opt/referral /opt/referral
RUN useradd --system --uid 10001 --no-create-home referral \
 && install -d -o referral /data
USER 10001
WORKDIR /data
VOLUME /data
ENV PATH=/opt/referral/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    REFERRAL_HOST=0.0.0.0
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/health/ready', timeout=2)"]
CMD ["referral-service", "serve"]
