# An image with the agent: the packages and the policy are copied in, so the image needs no archive.
# `packer build -var packages=... sallyport.pkr.hcl`

variable "packages" {
  type        = string
  description = "Folder with sallyport_*.deb and sallyport-policy_*.deb."
}

variable "image" {
  type        = string
  description = "A Debian cloud image, in qcow2."
}

source "qemu" "guest" {
  iso_url          = var.image
  iso_checksum     = "none"
  disk_image       = true
  format           = "qcow2"
  headless         = true
  ssh_username     = "debian"
  shutdown_command = "sudo systemctl poweroff"
}

build {
  sources = ["source.qemu.guest"]

  provisioner "file" {
    source      = "${var.packages}/"
    destination = "/tmp/packages"
  }

  provisioner "file" {
    source      = "../policy.toml"
    destination = "/tmp/policy.toml"
  }

  provisioner "shell" {
    inline = [
      "sudo apt-get install -y --no-install-recommends /tmp/packages/sallyport_*.deb /tmp/packages/sallyport-policy_*.deb",
      "sallyport-policy check /tmp/policy.toml",
      "sudo install -o root -g root -m 0644 /tmp/policy.toml /etc/sallyport/policy.toml",
      "sudo mkdir -p /etc/systemd/system/sallyport.service.d",
      "sallyport-policy unit /etc/sallyport/policy.toml | xargs -r sudo ln -sft /etc/systemd/system/sallyport.service.d",
      "rm -r /tmp/packages /tmp/policy.toml",
    ]
  }
}
