# Hypervisors that are not ours, as guests with SVM. Skipped where build.ps1 Guests could not fetch or make them. Slow (build.ps1 Test -All): the other engines.
BeforeDiscovery {
    $guests = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'artifacts', 'guests'))
    function Test-Missing([string[]] $Name) { @($Name | Where-Object { -not [IO.File]::Exists([IO.Path]::Combine($guests, $_)) }).Count -gt 0 }
    $xenMissing = Test-Missing 'xen', 'vmlinuz-amd64', 'initramfs-amd64.cpio.gz'
    $kvmMissing = Test-Missing 'vmlinuz-amd64', 'initramfs-amd64.cpio.gz', 'kvm-amd64.cpio.gz'
}
BeforeAll {
    . $PSScriptRoot/TestMachines.ps1
    $Guests = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'artifacts', 'guests'))

    function Start-Xen([string] $Engine, [string[]] $Feature) {
        $modules = "$([IO.Path]::Combine($Guests, 'vmlinuz-amd64')) console=hvc0 x86virt.action=poweroff", [IO.Path]::Combine($Guests, 'initramfs-amd64.cpio.gz')
        $settings = if ($Feature) { @{ Feature = $Feature } } else { @{} }
        New-VirtualMachine -Name test-xen -Memory 768MB -Kernel ([IO.Path]::Combine($Guests, 'xen')) -Module $modules -Engine $Engine @settings -NoReboot `
            -CommandLine 'com1=115200,8n1 console=com1 dom0_mem=400M' -ErrorAction Stop | Start-VM -Wait -Timeout 400 -PassThru -ErrorAction Stop
    }

    # KVM's modules and guests go behind the ordinary RAM disk, which Linux unpacks one after the other.
    function Start-Kvm([string] $Engine, [int] $NestedPaging, [hashtable] $Settings = @{}) {
        $parts = foreach ($name in 'initramfs-amd64.cpio.gz', 'kvm-amd64.cpio.gz') { [IO.File]::ReadAllBytes([IO.Path]::Combine($Guests, $name)) }
        $disk = Save-TestFile 'kvm.cpio.gz' $parts
        New-VirtualMachine -Name test-kvm -Memory 512MB -Kernel ([IO.Path]::Combine($Guests, 'vmlinuz-amd64')) -InitialRamDisk $disk -Engine $Engine -Feature Svm -NoReboot @Settings `
            -CommandLine "console=ttyS0 x86virt.action=script x86virt.script=kvm kvm_amd.npt=$NestedPaging" -ErrorAction Stop | Start-VM -Wait -Timeout 400 -PassThru -ErrorAction Stop
    }
}

Describe 'Xen with a Linux dom0' -Tag Linux {
    AfterEach { Remove-TestMachine }

    It 'enables SVM, boots its dom0 and powers off' -Skip:$xenMissing {
        $text = Get-VMConsole (Start-Xen BinaryTranslation Svm)
        $text | Should -Match 'HVM: SVM enabled'
        $text | Should -Match 'Hardware Assisted Paging \(HAP\) detected'
        $text | Should -Match 'X86VIRT-GUEST-READY'
        $text | Should -Match 'Entering ACPI S5 state'
    }

    It 'boots its dom0 without SVM on <_>' -Skip:$xenMissing -Tag Slow -ForEach 'DecodedCache', 'BinaryTranslation' {
        Get-VMConsole (Start-Xen $_) | Should -Match 'X86VIRT-GUEST-READY(?s).*Entering ACPI S5 state'
    }
}

Describe 'Linux with KVM' -Tag Linux {
    AfterEach { Remove-TestMachine }

    It 'runs guests on <Engine>: nested paging <Nested>' -Skip:$kvmMissing -ForEach @(
        @{ Engine = 'BinaryTranslation'; Nested = 1 }
        @{ Engine = 'BinaryTranslation'; Nested = 0 }
        @{ Engine = 'HardwareAssist'; Nested = 1 }
        @{ Engine = 'HardwareAssist'; Nested = 0 }
    ) {
        $vm = Start-Kvm $Engine $Nested
        $text = Get-VMConsole $vm
        $text | Should -Match 'X86VIRT-SCRIPT-DONE kvm 0'
        $text | Should -Not -Match '(?m)^FAIL'
        [regex]::Matches($text, '(?m)^PASS').Count | Should -Be 6
    }

    It 'does the same on every engine with each paging: nested paging <_>' -Skip:$kvmMissing -Tag Slow -ForEach 1, 0 {
        $vm = Start-Kvm BinaryTranslation $_
        $text = Get-VMConsole $vm
        $instructions = $vm.InstructionsRetired
        foreach ($other in @('BinaryTranslation', 'Walk'), @('DecodedCache', 'Walk'), @('DecodedCache', 'Shadow'), @('HardwareAssist', 'Shadow'), @('Hybrid', 'Nested'), @('Hybrid', 'Shadow'),
            @('HardwareAssist', 'Shadow', 'FirstGeneration')) {
            Remove-TestMachine
            $settings = @{ Paging = $other[1] }
            if ($other[2]) { $settings.Generation = $other[2] }
            $vm = Start-Kvm $other[0] $_ $settings
            Get-VMConsole $vm | Should -BeExactly $text
            $vm.InstructionsRetired | Should -Be $instructions
        }
    }
}
