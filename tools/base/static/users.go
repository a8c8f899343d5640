package static

// User describes a user of the static base. Each has a group of the same name and number.
type User struct {
	Name string
	ID   int
	Home string
}

// Users returns the users of the static base. Numbers and home directories are those of distroless images.
func Users() []User {
	return []User{{"root", 0, "/root"}, {"nobody", 65534, "/nonexistent"}, {"nonroot", 65532, "/home/nonroot"}}
}
