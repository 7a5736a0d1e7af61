// RegistrySQLite
